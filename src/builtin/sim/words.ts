/**
 * The words a simulated model writes with. Common, neutral English nouns, verbs and joiners, so that a
 * stream in a terminal reads as text. Each is one token; the order is part of the token numbering.
 */
export const WORDS: readonly string[] = (
  'the a an of to and in that it is was for on are with as at be this from or had by but some what there we ' +
  'can out other were all your when up use word how said each which their time will way about many then ' +
  'them would write like so these long make thing see him two has look more day could go come did number ' +
  'sound no most people over know water than call first who may down side been now find any new work part ' +
  'take get place made live where after back little only round man year came show every good give our under ' +
  'name very through just form great think say help low line before turn cause same mean differ move right ' +
  'old too does tell sentence set three want air well also play small end put home read hand port large ' +
  'spell add even land here must big high such follow act why ask men change went light kind off need house ' +
  'picture try again animal point mother world near build self earth father head stand own page should ' +
  'country found answer school grow study still learn plant cover food sun four between state keep eye ' +
  'never last let thought city tree cross farm hard start might story saw far sea draw left late run while ' +
  'press close night real life few north open seem together next white children begin got walk example ease ' +
  'paper group always music those both mark often letter until mile river car feet care second book carry ' +
  'took science eat room friend began idea fish mountain stop once base hear horse cut sure watch color ' +
  'face wood main enough plain girl usual young ready above ever red list though feel talk bird soon body ' +
  'dog family direct pose leave song measure door product black short class wind question happen complete ' +
  'ship area half rock order fire south problem piece told knew pass since top whole king space heard best ' +
  'hour better during hundred five remember step early hold west ground interest reach fast verb sing ' +
  'listen six table travel less morning ten simple several vowel toward war lay against pattern slow center ' +
  'love person money serve appear road map rain rule govern pull cold notice voice unit power town fine ' +
  'certain fly fall lead cry dark machine note wait plan figure star box noun field rest correct able pound ' +
  'done beauty drive stood contain front teach week final gave green quick develop ocean warm free minute ' +
  'strong special mind behind clear tail produce fact street inch multiply nothing course stay wheel full ' +
  'force blue object decide surface deep moon island foot system busy test record boat common gold possible ' +
  'plane stead dry wonder laugh thousand ago ran check game shape equate hot miss brought heat snow tire ' +
  'bring yes distant fill east paint language among train track signal yard switch freight station engine ' +
  'bridge harbor cargo window garden market kitchen bread summer winter autumn spring cloud forest valley ' +
  'desert stone iron copper silver glass cotton wool leather silk candle lantern mirror ladder basket ' +
  'bottle button needle thread carpet curtain pillow blanket model token batch cache memory block queue ' +
  'request stream node cluster device replica route weight layer vector matrix number graph index search'
)
  .split(' ')
  .filter((word, at, all) => all.indexOf(word) === at)
